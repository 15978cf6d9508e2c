# What is asked of derivations in the tests. store/ holds what nix-instantiate of Nix 2.8 makes of it, shown/ what its
# `nix show-derivation` prints; `python -m support.nix` in tests/ makes both again.
let
  make = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // more);
  nothing = {
    md5 = "d41d8cd98f00b204e9800998ecf8427e";
    sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    sha256 = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    sha512 = "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
  };
  fixed = algorithm: mode: more: make "fixed-${algorithm}-${mode}" ({
    outputHashAlgo = algorithm;
    outputHashMode = mode;
    outputHash = nothing.${algorithm};
  } // more);
  contentAddressed = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  long = builtins.concatStringsSep "" (builtins.genList (_: "n") 207);
in rec {
  simple = make "simple" { };
  arguments = make "arguments" { args = [ "-c" "echo \"$out\"\n\t\\ \r end" "" "ünïcode ☃" "\${}" ]; };
  variables = make "variables" {
    "" = "no name";
    empty = "";
    "ключ" = "значение";
    "with space" = "=";
    "quote\"back\\slash" = "new\nline";
    Zebra = "before all small letters";
    controls = builtins.readFile ./controls;
    list = [ 1 2 "three" true false null ./controls ];
  };
  bytes = make "bytes" { value = builtins.readFile ./bytes; args = [ (builtins.readFile ./bytes) ]; };
  large = make "large" { text = builtins.concatStringsSep "\n" (builtins.genList (i: "line ${toString i}") 5000); };
  names = make "n0-9+._?=Z" { outputs = [ "out" "b?in" "a+b=c" ]; };
  long-name = make long { };
  several = make "several" { outputs = [ "out" "dev" "lib" "Bin" ]; };
  no-out = make "no-out" { outputs = [ "dev" "bin" ]; };
  other-system = make "other-system" { system = "riscv64-linux"; builder = "builtin:whatever"; };

  fixed-md5 = fixed "md5" "flat" { };
  fixed-sha1 = fixed "sha1" "recursive" { };
  fixed-sha256 = fixed "sha256" "flat" { url = "https://example.org/a"; };
  fixed-sha256-mirror = fixed "sha256" "flat" { url = "https://example.org/b"; };
  fixed-sha256-nar = fixed "sha256" "recursive" { };
  fixed-sha512 = fixed "sha512" "flat" { };
  fixed-with-inputs = fixed "sha256" "recursive" { inherit simple; args = [ several.dev ]; };

  pass-as-file = make "pass-as-file" { passAsFile = [ "text" "other" ]; text = "one\ntwo"; other = "three"; };
  structured = make "structured" {
    __structuredAttrs = true;
    outputs = [ "out" "dev" ];
    nested = { list = [ 1 2.5 true null "ü" ]; path = "${simple}"; };
    "ключ" = "\"значение\"";
  };
  placeholders = make "placeholders" {
    outputs = [ "out" "dev" ];
    flags = "--prefix=${placeholder "out"} --dev=${placeholder "dev"} --other=${placeholder "nosuch"}";
  };
  graph = make "graph" { exportReferencesGraph = [ "graph" chain3 ]; };
  sources = make "sources" {
    path = ./controls;
    text = builtins.toFile "text" "contents\n";
    nested = builtins.toFile "nested" "refers to ${builtins.toFile "text" "contents\n"}";
    directory = builtins.path { path = ./.; name = "directory"; filter = path: _: baseNameOf path == "controls"; };
  };

  chain1 = make "chain1" { outputs = [ "out" "dev" "unused" ]; };
  chain2 = make "chain2" { outputs = [ "out" "lib" ]; needs = [ chain1 chain1.dev ]; };
  chain3 = make "chain3" { needs = "${chain2.lib}/lib ${chain1}/bin"; source = ./controls; };
  diamond = make "diamond" { left = chain2; right = chain3; bottom = chain1.dev; };
  # Equal but for how their fixed input is had: their outputs must have the same path.
  from-here = make "from-either" { source = fixed-sha256; };
  from-mirror = make "from-either" { source = fixed-sha256-mirror; };
  from-both = make "from-both" { here = fixed-sha256; mirror = fixed-sha256-mirror; other = fixed-md5; };
  whole-closure = make "whole-closure" { all = chain3.drvPath; };
  derivation-itself = make "derivation-itself" { file = builtins.unsafeDiscardOutputDependency chain2.drvPath; };

  floating = make "floating" (contentAddressed // { outputs = [ "out" "dev" ]; });
  floating-flat = make "floating-flat" (contentAddressed // { outputHashMode = "flat"; outputHashAlgo = "sha1"; });
  floating-on-fixed = make "floating-on-fixed" (contentAddressed // { source = fixed-sha256; });
  deferred = make "deferred" { outputs = [ "out" "doc" ]; needs = floating.dev; other = floating; };
  deferred-twice = make "deferred-twice" { needs = deferred.doc; simple = simple; };
  impure = make "impure" { __impure = true; };
  on-impure = make "on-impure" { __impure = true; needs = impure; };
  fixed-on-impure = fixed "sha1" "flat" { needs = impure; };
}

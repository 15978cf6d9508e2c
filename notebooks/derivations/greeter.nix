# What notebook 8 debugs. `system` is fixed, so that everybody gets the same derivations.
let
  make = name: attributes: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
  } // attributes);

  # A dependency: nobody has built it yet.
  words = make "words" {
    args = [ "-euc" "mkdir $out; echo hello > $out/first; echo world > $out/second" ];
  };

  configure = interpreter: builtins.toFile "configure" ''
    #!${interpreter}
    set -eu
    echo "checking for words... $1"
    echo "greeting='$(cat $1/first) $(cat $1/second)'" > config
  '';

  greeter = name: interpreter: promises: make name ({
    inherit words;
    args = [ "-euc" ''
      cp ${configure interpreter} configure
      chmod +x configure
      ./configure $words
      . ./config
      mkdir -p $out/bin
      echo "#!/bin/sh" > $out/bin/greet
      echo "echo $greeting; cat $words/first > /dev/null" >> $out/bin/greet
      chmod +x $out/bin/greet
    '' ];
  } // promises);
in {
  broken = greeter "greeter" "/usr/bin/env bash" { };
  mended = greeter "greeter" "/bin/sh" { };
  # The same, with a promise: its output must not need `words` when it runs.
  strict = greeter "greeter" "/bin/sh" { allowedReferences = [ ]; };
}

"""The C program of the demo, the text it counts, and what it has to find out."""

from __future__ import annotations

from pathlib import Path

SOURCE = r"""/* Counts a text and says what can be seen from inside the sandbox it runs in. */
#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long lines, words, bytes;

static int count(const char *path)
{
    FILE *file = fopen(path, "rb");
    int c, inside = 0;
    if (!file) { perror(path); return 1; }
    while ((c = getc(file)) != EOF) {
        bytes++;
        if (c == '\n') lines++;
        if (isspace(c)) inside = 0;
        else if (!inside) { inside = 1; words++; }
    }
    return fclose(file);
}

static int show(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    if (kind == FTW_F) printf("file %s (%lld bytes)\n", path, (long long)status->st_size);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent *entry;
    DIR *root = opendir("/");
    FILE *report;
    if (argc != 3 || !root) { fprintf(stderr, "usage: count TEXT REPORT\n"); return 2; }
    printf("I am process %d, user %d\n", (int)getpid(), (int)getuid());
    while ((entry = readdir(root))) {
        char path[300];
        if (entry->d_name[0] == '.' || strstr("proc sys dev", entry->d_name)) continue;
        snprintf(path, sizeof path, "/%s", entry->d_name);
        nftw(path, show, 16, FTW_PHYS);
    }
    if (count(argv[1])) return 1;
    printf("%s: %ld lines, %ld words, %ld bytes\n", argv[1], lines, words, bytes);
    report = fopen(argv[2], "w");
    if (!report) { perror(argv[2]); return 1; }
    fprintf(report, "%ld %ld %ld\n", lines, words, bytes);
    return fclose(report);
}
"""

TEXT = """\
A request names everything: the command, what it may read,
where it may write, and which paths come back as outputs.
What is not named is not there.
"""

BUILD = """\
mkdir -p {out}/bin {out}/share
gcc {flags} -o {out}/bin/count /src/count.c
cp /src/text.txt {out}/share/
"""


def write_sources(directory: Path) -> Path:
    """Write source and text into ``directory``; the path of the source."""
    source = directory / "count.c"
    source.write_text(SOURCE)
    (directory / "text.txt").write_text(TEXT)
    return source


def expected_report() -> str:
    """What the program has to write about the text."""
    return f"{TEXT.count(chr(10))} {len(TEXT.split())} {len(TEXT.encode())}\n"


def files_seen(log: str) -> list[str]:
    """The paths of all files that the program could see, from its log."""
    found = [line.removeprefix("file ") for line in log.splitlines() if line.startswith("file ")]
    return [line.rpartition(" (")[0] for line in found]

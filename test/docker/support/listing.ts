/** Trees compared file by file: path, kind, mode, size, time, symlink and checksum, as find(1) and sha256sum(1) say. */

/** A shell script that prints a line for each entry below the directory `$1`, then the checksums of all files. */
export const LISTING = [
  'cd "$1" && export LC_ALL=C',
  'find . -mindepth 1 \\( -type f -printf "%P|%m|%T@|%s\\n" -o -type l -printf "%P -> %l\\n" -o -printf "%P/|%m|%T@\\n" \\) | sort',
  'find . -type f -exec sha256sum {} + | sort',
].join(' && ');

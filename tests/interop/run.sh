#!/bin/sh
# Checks our signatures with other libraries' verifiers, and theirs with ours.
#
#     tests/interop/run.sh [dir]
#
# `dir` keeps the packages between runs; without it a temporary folder is used and removed. Needs
# cargo, python3, node, npm and their registries. Prints "N passed, N failed" and fails when a
# check failed, or when fewer ran than there are.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
expected=120

if [ $# -gt 0 ]; then
    mkdir -p -- "$1"
    dir=$(CDPATH='' cd -- "$1" && pwd)
else
    dir=$(mktemp -d)
    trap 'rm -rf -- "$dir"' EXIT
fi

[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    stripe==16.1.0 standardwebhooks==1.1.0
npm install --silent --no-audit --no-fund --no-save --prefix "$dir" standardwebhooks@1.1.1

interop() {
    (cd "$here" && cargo run --quiet -p webhooks-receiver --example interop -- "$1")
}
# Node finds its packages from the folder it is run in.
other() {
    case $1 in
    *.py) "$dir/venv/bin/python" "$here/$1" "$2" ;;
    *.mjs) (cd "$dir" && node "$here/$1" "$2") ;;
    esac
}

interop sign >"$dir/ours"
: >"$dir/theirs"
: >"$dir/verdicts"
for script in stripe_verify.py standardwebhooks_verify.py standardwebhooks_verify.mjs; do
    other "$script" verify <"$dir/ours" >>"$dir/verdicts"
    other "$script" sign >>"$dir/theirs"
done
interop verify <"$dir/theirs" >>"$dir/verdicts"

passed=$(grep -c '^ok ' "$dir/verdicts" || true)
failed=$(grep -c '^FAILED ' "$dir/verdicts" || true)
grep '^FAILED ' "$dir/verdicts" || true
echo "$passed passed, $failed failed"
if [ "$((passed + failed))" -ne "$expected" ]; then
    echo "$((passed + failed)) checks ran, $expected should have" >&2
    exit 1
fi
[ "$failed" -eq 0 ]

#!/bin/sh
# rustdoc with JSON, which stable releases hold back. Set for cargo as a whole, the variable would
# have it build all dependencies anew, here and again for the next command without it.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"

package dedup

import "syscall"

// adviseHugePages asks for large pages: a lookup reads one line of each filter,
// and with small pages nearly every one would miss the translation cache too.
func adviseHugePages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) }

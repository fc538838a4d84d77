//go:build !linux

package deliver

import "os"

func syncData(f *os.File) error { return f.Sync() }

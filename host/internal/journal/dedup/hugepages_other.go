//go:build !linux

package dedup

func adviseHugePages([]byte) {}

package journal

import (
	"log/slog"
	"os"
	"path/filepath"
)

// blockSizes are the sizes of all block files, by stream and number. JetStream
// cuts a block at its first damaged message without a word; comparing the sizes
// before and after tells.
type blockSizes map[string]map[uint64]int64

func readBlockSizes(dir string) blockSizes {
	sizes := make(blockSizes)
	streams, _ := os.ReadDir(streamsIn(dir)) // there may be none yet
	for _, stream := range streams {
		blocks := make(map[uint64]int64)
		entries, _ := os.ReadDir(filepath.Join(streamsIn(dir), stream.Name(), blocksDir))
		for _, e := range entries {
			index, ok := blockIndex(e.Name())
			info, err := e.Info()
			if ok && err == nil {
				blocks[index] = info.Size()
			}
		}
		sizes[stream.Name()] = blocks
	}
	return sizes
}

// cuts reports what is missing after recovery, and returns the number of bytes.
func (before blockSizes) cuts(after blockSizes, log *slog.Logger) (cut int64) {
	for stream, blocks := range before {
		newest := uint64(0)
		for index := range blocks {
			newest = max(newest, index)
		}
		oldest := newest
		for index := range after[stream] {
			oldest = min(oldest, index)
		}
		for index, size := range blocks {
			left, exists := after[stream][index]
			if left >= size || !exists && index < oldest {
				continue // whole, or dropped by retention
			}
			cut += size - left
			reportCut(log.With("log", stream, "block", index, "bytes", size-left, "at", left), index == newest)
		}
	}
	return cut
}

func reportCut(log *slog.Logger, newest bool) {
	if newest {
		log.Warn("the journal's tail was torn by a crash and is cut after the last whole frame; nothing is lost that was synced, unless the disk lost it",
			"code", "journal_tail_cut")
		return
	}
	log.Error("a block of the journal is damaged and cut after the last whole frame; its later frames are lost",
		"code", "journal_block_cut", "remedy", "check the disk; events that a destination still lacked from it cannot be delivered")
}

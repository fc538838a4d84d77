package host

import (
	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// Shelves shows a journal's logs to a quarantine.
func Shelves(j *journal.Journal) quarantine.Logs { return shelves{j} }

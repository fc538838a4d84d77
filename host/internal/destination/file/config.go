package file

import (
	"fmt"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Config is what stands under a destination of type file.
type Config struct {
	// Path of the file; its folders are made where they are missing.
	Path   config.Path `yaml:"path"`
	Rotate Rotate      `yaml:"rotate,omitempty"`
}

// Rotate bounds the file and how many of its predecessors are kept.
type Rotate struct {
	// Bytes is the size at which a file is turned, exceeded by at most what
	// comes between two flushes; 0: never.
	Bytes config.Size `yaml:"bytes,omitempty"`
	// Keep is how many turned files are kept; 0: all.
	Keep int `yaml:"keep,omitempty"`
}

// Validate reports everything that is wrong.
func (c *Config) Validate() error {
	var ps config.Problems
	if c.Path == "" {
		ps = append(ps, config.Problem{Path: "path", Code: config.CodeMissingKey, What: "is missing", Hint: "say which file events are appended to"})
	}
	if c.Rotate.Keep < 0 {
		ps = append(ps, config.Problem{Path: "rotate.keep", Code: config.CodeWrongValue, What: fmt.Sprintf("%d is out of range", c.Rotate.Keep), Hint: "want a number of files, or nothing to keep all"})
	}
	if c.Rotate.Keep > 0 && c.Rotate.Bytes == 0 {
		ps = append(ps, config.Problem{Path: "rotate.keep", Code: config.CodeMissingKey, What: "it means nothing without a size", Hint: "add bytes:, such as bytes: 1GB"})
	}
	return ps.Err()
}

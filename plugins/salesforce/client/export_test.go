package client

import (
	"bufio"
	"errors"
	"io"
)

// ReadCSV reads all rows, for the comparison with encoding/csv.
func ReadCSV(in io.Reader) ([][]string, error) {
	r := csvReader{in: bufio.NewReader(in)}
	var out [][]string
	for {
		row, err := r.read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		var texts []string
		for _, f := range row {
			texts = append(texts, string(f))
		}
		out = append(out, texts)
	}
}

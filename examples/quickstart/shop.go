package main

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed shop
var shop embed.FS

// shopHandler serves the page, whose library sends to the collector.
func shopHandler(collector, key string) (http.Handler, error) {
	files, err := fs.Sub(shop, "shop")
	if err != nil {
		return nil, err
	}
	page, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		_ = page.Execute(w, map[string]any{
			"Collector":  collector,
			"Key":        key,
			"CustomerIO": r.URL.Query().Get("library") == "customerio",
		})
	})
	return mux, nil
}

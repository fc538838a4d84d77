package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

type options struct {
	env       func(name string) (string, bool)
	readFile  func(path string) ([]byte, error)
	pluginDir string
}

// Option changes where Load looks outside of the file.
type Option func(*options)

// WithEnv looks variables up with lookup instead of os.LookupEnv.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(o *options) { o.env = lookup }
}

// WithFiles reads the files that references name with read, which gets
// absolute paths where the config's own is, instead of from the disk.
func WithFiles(read func(path string) ([]byte, error)) Option {
	return func(o *options) { o.readFile = read }
}

// WithPluginDir is where a plugin without a path is looked for, instead of the
// folder plugins beside the running binary.
func WithPluginDir(dir string) Option {
	return func(o *options) { o.pluginDir = dir }
}

// Load reads the config file at path. An error is [Problems], with everything
// that is wrong; the Config is then what could be read of it, good for further
// checks of its parts and for nothing else.
func Load(path string, opts ...Option) (*Config, error) {
	data, err := readBounded(path, maxFile)
	if err == nil {
		return Parse(path, data, opts...)
	}
	p := Problem{File: path, Code: CodeFile, What: err.Error()}
	var pathError *fs.PathError
	var large tooLargeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.What, p.Hint = "there is no such file", "name the config file with -c"
	case errors.Is(err, fs.ErrPermission):
		p.What, p.Hint = "no permission to read it", "let the user that runs wellhead read it"
	case errors.As(err, &large):
		p.Code = CodeTooLarge
	case errors.As(err, &pathError):
		p.What = pathError.Op + ": " + pathError.Err.Error()
	}
	c := &Config{}
	c.Default()
	return c, Problems{p}
}

type tooLargeError Size

func (e tooLargeError) Error() string { return "larger than " + Size(e).String() }

func readBounded(path string, most Size) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && Size(len(data)) > most {
		err = tooLargeError(most)
	}
	return data, err
}

// Parse is Load of a file whose bytes are already here; path is its name.
func Parse(path string, data []byte, opts ...Option) (*Config, error) {
	doc, o, problems := open(path, data, opts)
	c := &Config{doc: doc}
	d := newDecoder(doc)
	d.run(doc.root, c)
	c.complete(o.pluginDir)
	if len(problems) == 0 || doc.root.node != nil {
		d.validate(doc.root, c)
	}
	return c, Join(problems, d.problems)
}

// ParseSection reads YAML as a Section on its own; name stands for the file in
// problems. It serves the tests of those who own one.
func ParseSection(name string, data []byte, opts ...Option) (Section, error) {
	doc, _, problems := open(name, data, opts)
	return Section{doc: doc, at: doc.root}, Join(problems)
}

// open parses a file, resolves its references, and returns what is wrong so far.
func open(path string, data []byte, opts []Option) (*document, options, Problems) {
	o := options{env: os.LookupEnv, readFile: func(p string) ([]byte, error) { return readBounded(p, MiB) }}
	for _, option := range opts {
		option(&o)
	}
	if o.pluginDir == "" {
		o.pluginDir = besideBinary()
	}
	dir := filepath.Dir(path)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	doc := &document{file: path, dir: dir, text: map[*yaml.Node]Secret{}, unset: map[string]Problems{}}
	if Size(len(data)) > maxFile {
		return doc, o, Problems{{File: path, Code: CodeTooLarge, What: tooLargeError(maxFile).Error()}}
	}
	root, problem := ParseYAML(data)
	if problem != nil {
		problem.File = path
		if problem.Code == CodeFile {
			problem.Hint = "it wants plugins:, sources: and destinations:"
		}
		return doc, o, Problems{*problem}
	}
	p := planter{doc: doc}
	doc.root.node = p.plant(value{node: root}, 0)
	e := expander{doc: doc, env: o.env, readFile: o.readFile}
	e.expand(doc.root)
	return doc, o, append(p.problems, e.problems...)
}

func besideBinary() string {
	binary, err := os.Executable()
	if err != nil {
		return "plugins"
	}
	if real, err := filepath.EvalSymlinks(binary); err == nil {
		binary = real
	}
	return filepath.Join(filepath.Dir(binary), "plugins")
}

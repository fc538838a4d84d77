// Package config reads Wellhead's one config file.
//
// Decoding is strict and complete: every unknown key, wrong value, duplicate
// key, missing variable and broken cross reference is reported at once, as
// [Problems], each with its place in the file, its key path and a remedy.
//
// Each room of the host has a struct here with Default and Validate. What only
// the owner of a part understands (a source's config, a destination's own keys)
// stays a [Section]: it keeps its place in the file, and the owner decodes it
// with the same strictness and the same quality of errors.
//
// Inside string values, "${NAME}" is an environment variable and
// "${file:path}" the text of a file without its last newline; "$${" is a
// literal "${". References are resolved after the YAML is parsed, so a value
// can never add keys. A value that came by a reference may stand for a number or a
// boolean too. Relative paths are relative to the config file's folder.
//
// The package is a leaf. It knows no plugin, no destination type and no
// network, and it opens no file but the config and those that ${file:…} names.
package config

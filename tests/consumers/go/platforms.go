// Type-checks a package from its sources for other systems, without cgo, as `go vet` does before it looks closer. What
// package net brings along is read but not compiled, which would take minutes for all systems.
//
//	go run platforms.go DIRECTORY GOOS/GOARCH...
package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

func check(directory, platform string) error {
	build.Default.GOOS, build.Default.GOARCH, _ = strings.Cut(platform, "/")
	build.Default.CgoEnabled = false
	pkg, err := build.ImportDir(directory, 0)
	if err != nil {
		return err
	}
	positions := token.NewFileSet()
	sources := importer.ForCompiler(positions, "source", nil)
	parse := func(names []string) (files []*ast.File, err error) {
		for _, name := range names {
			file, err := parser.ParseFile(positions, filepath.Join(directory, name), nil, 0)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
		return files, nil
	}
	files, err := parse(append(pkg.GoFiles, pkg.TestGoFiles...))
	if err != nil {
		return err
	}
	sizes := types.SizesFor("gc", build.Default.GOARCH)
	config := types.Config{Importer: sources, Sizes: sizes}
	checked, err := config.Check("github.com/tcpshaker/libtcpshaker/bindings/go", positions, files, nil)
	if err != nil {
		return err
	}
	// The tests that are a user's own package, too.
	if files, err = parse(pkg.XTestGoFiles); err != nil {
		return err
	}
	config.Importer = around{checked, sources}
	_, err = config.Check("tcp_test", positions, files, nil)
	return err
}

// around imports the package that was just checked, and others from their sources.
type around struct {
	checked *types.Package
	sources types.Importer
}

func (a around) Import(path string) (*types.Package, error) {
	if path == a.checked.Path() {
		return a.checked, nil
	}
	return a.sources.Import(path)
}

func main() {
	for _, platform := range os.Args[2:] {
		if err := check(os.Args[1], platform); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", platform, err)
			os.Exit(1)
		}
	}
}

// Command lines lists the lines of Go files whose code is longer than 120 columns, and exits with 1 if there are any.
//
// A string or a comment may be longer, because a message in one piece can be searched for. A tab counts as one column.
// The command reads the given files one after the other, and never changes them.
//
//	go run ./scripts/lines FILE…
package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"unicode/utf8"
)

const most = 120

func main() { os.Exit(run(os.Args[1:])) }

func run(paths []string) int {
	status := 0
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		for _, line := range tooLong(source) {
			fmt.Printf("%s:%d: code beyond %d columns\n", path, line, most)
			status = 1
		}
	}
	return status
}

// tooLong returns the lines, counted from 1, on which a name, number or operator begins beyond the limit. A string may
// extend beyond the limit, followed by brackets, commas, and a + or . that continues the expression on the next line.
func tooLong(source []byte) (lines []int) {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	for {
		pos, tok, _ := s.Scan()
		switch tok {
		case token.EOF:
			return lines
		case token.STRING, token.SEMICOLON, token.COMMA, token.RPAREN, token.RBRACK, token.RBRACE, token.LBRACE,
			token.ADD, token.PERIOD:
			continue
		}
		place := file.Position(pos)
		start := file.Offset(file.LineStart(place.Line))
		column := 1 + utf8.RuneCount(source[start:file.Offset(pos)])
		if column > most && (len(lines) == 0 || lines[len(lines)-1] != place.Line) {
			lines = append(lines, place.Line)
		}
	}
}

// Command hello prints the greeting it was linked with: the whole content of the images the client tests run.
package main

import "os"

var greeting = "hello"

func main() {
	if _, err := os.Stdout.WriteString(greeting + "\n"); err != nil {
		os.Exit(1)
	}
}

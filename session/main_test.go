package session

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain keeps the everyday run short: -rapid.checks=1000 looks longer.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// Command mutate breaks the rules that internal/mutants lists, one by one, and exits with 1 when tests stay green. Its arguments
// are the beginnings of the ids to try; without any it tries all. To be run at the root of the repository.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mangrove/internal/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, want string) error {
	all, err := mutants.Load(os.DirFS("."))
	if err != nil {
		return err
	}
	list := mutants.Select(all, want)
	if len(list) == 0 {
		return fmt.Errorf("none of %d mutants has an id that begins with %q", len(all), want)
	}
	begin := time.Now()
	r := mutants.Runner{Root: ".", Parallel: 2, Timeout: 2 * time.Minute, Out: os.Stdout}
	bad := r.Run(ctx, list)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Printf("%d mutants, %d killed, in %v\n", len(list), len(list)-len(bad), time.Since(begin).Round(time.Second))
	if len(bad) == 0 {
		return nil
	}
	ids := make([]string, len(bad))
	for i, res := range bad {
		ids[i] = res.Mutant.ID + " " + res.Outcome.Kind.String()
	}
	return fmt.Errorf("not noticed: %s", strings.Join(ids, ", "))
}

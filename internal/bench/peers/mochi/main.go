// Command mochi is a mochi-mqtt broker to be measured beside Mangrove: it listens on one address without
// authentication and, where it is given a database, keeps its state there with the library's own hook.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:1883", "address to listen on")
	database := flag.String("database", "", "file to keep sessions and messages in (default none are kept)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *database); err != nil {
		fmt.Fprintf(os.Stderr, "mochi: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen, database string) error {
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return fmt.Errorf("allow everybody: %w", err)
	}
	if database != "" {
		if err := server.AddHook(new(bolt.Hook), &bolt.Options{Path: database}); err != nil {
			return fmt.Errorf("open database: %w", err)
		}
	}
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: listen})); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := server.Serve(); err != nil { // returns when it listens
		return fmt.Errorf("serve: %w", err)
	}
	<-ctx.Done()
	return server.Close()
}

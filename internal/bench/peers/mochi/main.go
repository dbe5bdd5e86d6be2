// Command mochi is a mochi-mqtt broker to be measured beside Mangrove: it listens on one address without
// authentication and, where it is given a database, keeps its state there with the library's own hook.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// options are the command line.
type options struct {
	listen, database, cert, key string
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:1883", "address to listen on")
	flag.StringVar(&o.database, "database", "", "file to keep sessions and messages in (default none are kept)")
	flag.StringVar(&o.cert, "cert", "", "certificate to speak TLS with (default none)")
	flag.StringVar(&o.key, "key", "", "its key")
	version := flag.Bool("version", false, "print the library's version")
	flag.Parse()
	if *version {
		fmt.Println(libraryVersion())
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "mochi: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, o options) error {
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return fmt.Errorf("allow everybody: %w", err)
	}
	if o.database != "" {
		if err := server.AddHook(new(bolt.Hook), &bolt.Options{Path: o.database}); err != nil {
			return fmt.Errorf("open database: %w", err)
		}
	}
	listener := listeners.Config{ID: "tcp", Address: o.listen}
	if o.cert != "" {
		cert, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("load certificate: %w", err)
		}
		listener.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if err := server.AddListener(listeners.NewTCP(listener)); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := server.Serve(); err != nil { // returns when it listens
		return fmt.Errorf("serve: %w", err)
	}
	<-ctx.Done()
	return server.Close()
}

// libraryVersion is what go.mod says.
func libraryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/mochi-mqtt/server/v2" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "unknown"
}

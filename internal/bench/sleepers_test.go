package bench

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"testing"
)

func TestStormCountsWhoIsRefused(t *testing.T) {
	// Ten make their sessions, ten come back, of whom five are turned away, and ten clean up.
	r := startRelay(t, &relay{away: func(n int) bool { return n >= 15 && n < 20 }})
	cfg := short(r, "storm", 0)
	cfg.Count = 10
	got, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Refused != 5 || got.Messages != 5 {
		t.Errorf("got %d refused and %d back, want 5 and 5", got.Refused, got.Messages)
	}
}

func TestWillsThatDoNotComeAreLost(t *testing.T) {
	cfg := short(startRelay(t, &relay{}), "wills", 1) // which knows no wills
	cfg.Count = 7
	got, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Lost != 7 || got.Broken() == "" {
		t.Errorf("got %+v, want 7 wills lost", got)
	}
}

func TestConnsSpeakTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate
	secret := &tls.Config{Certificates: server.TLS.Certificates}
	server.Close()
	cfg := short(startRelay(t, &relay{secret: secret}), "conns", 0)
	cfg.Count, cfg.TLS = 40, true
	got, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got.ConnectsPerSecond == 0 {
		t.Errorf("got %+v, want connections", got)
	}
	cfg.Broker = startRelay(t, &relay{}).addr()
	if _, err := Run(context.Background(), cfg); err == nil {
		t.Error("got no error of a broker without TLS")
	}
}

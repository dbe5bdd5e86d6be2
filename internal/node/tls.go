package node

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// server is nil when no certificate is configured.
func (t TLS) server() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, Fault("tls.cert", "load certificate: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if t.ClientCA != "" {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		if cfg.ClientCAs, err = authorities("tls.client_ca", t.ClientCA); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// client is how this node dials others: it trusts ca and shows its own certificate when asked.
func (t TLS) client(ca string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, Fault("tls.cert", "load certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		var err error
		if cfg.RootCAs, err = authorities("link.ca", ca); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

func authorities(key, path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, Fault(key, "load authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, Fault(key, "load authorities: no certificate in %s", path)
	}
	return pool, nil
}

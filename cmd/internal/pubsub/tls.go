package pubsub

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
)

type tlsOptions struct {
	caFile, cert, key string
	insecure, system  bool
}

func (o *tlsOptions) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.caFile, "cafile", "", "use TLS; trust the certificates in this PEM file")
	fs.BoolVar(&o.system, "tls-use-os-certs", false, "use TLS; trust what the system trusts")
	fs.StringVar(&o.cert, "cert", "", "use TLS; our certificate, PEM")
	fs.StringVar(&o.key, "key", "", "private key of --cert, PEM")
	fs.BoolVar(&o.insecure, "insecure", false, "with TLS, do not check the broker's certificate: for tests only")
}

// config is nil when no flag asks for TLS.
func (o *tlsOptions) config() (*tls.Config, error) {
	if *o == (tlsOptions{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.insecure}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--cafile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cafile %s: no certificate in it", o.caFile)
		}
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("--cert and --key go together")
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

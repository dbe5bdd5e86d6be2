package matrix

import (
	"path/filepath"

	"mangrove/internal/sim"
)

// Names of a broker's certificate and key in its folder.
const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

// writeCert makes a certificate for the loopback address that is good for a day.
func writeCert(folder string) error {
	cert, _, err := sim.Certificate()
	if err != nil {
		return err
	}
	public, private, err := sim.PEM(cert)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(folder, certFile), string(public)); err != nil {
		return err
	}
	return write(filepath.Join(folder, keyFile), string(private))
}

package pubsub

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// options are the flags that pub and sub share.
type options struct {
	host, unix, url      string
	port                 int
	id, idPrefix         string
	user, password       string
	scram                bool
	version              string
	persistent           bool
	expiry               string
	keepAlive, qos       int
	will                 willOptions
	tls                  tlsOptions
	properties           []string
	debug, quiet         bool
	flags                *pflag.FlagSet
	urlTopic, urlAddress string // from url
}

type willOptions struct {
	topic, payload string
	qos            int
	retain         bool
}

// bind adds the flags to fs. -h is the host, so help is --help alone.
func (o *options) bind(fs *pflag.FlagSet) {
	o.flags = fs
	fs.Bool("help", false, "show this help")
	fs.StringVarP(&o.host, "host", "h", "localhost", "broker to connect to")
	fs.IntVarP(&o.port, "port", "p", 1883, "port of the broker (8883 with TLS)")
	fs.StringVar(&o.unix, "unix", "", "connect through this unix socket instead")
	fs.StringVarP(&o.url, "url", "L", "", "mqtt[s]://[user[:password]@]host[:port][/topic], or ws[s]://host:port/path")
	fs.StringVarP(&o.id, "id", "i", "", "client id (default a random one)")
	fs.StringVarP(&o.idPrefix, "id-prefix", "I", "", "client id is this and the process id")
	fs.StringVarP(&o.user, "username", "u", "", "user name")
	fs.StringVarP(&o.password, "pw", "P", "", "password")
	fs.BoolVar(&o.scram, "scram", false, "prove the password by SCRAM-SHA-256 instead of sending it; needs -u and mqttv5")
	fs.StringVarP(&o.version, "protocol-version", "V", "mqttv5", "mqttv5, mqttv311 or mqttv31")
	fs.IntVarP(&o.qos, "qos", "q", 0, "quality of service: 0, 1 or 2")
	fs.IntVarP(&o.keepAlive, "keepalive", "k", 60, "keep-alive in seconds")
	fs.BoolVarP(&o.persistent, "disable-clean-session", "c", false, "take up the session of this client id and keep it; needs -i")
	fs.StringVarP(&o.expiry, "session-expiry-interval", "x", "", "seconds the session outlives the connection, -1 = for ever (default 0, with -c for ever)")
	fs.StringVar(&o.will.topic, "will-topic", "", "topic of the will")
	fs.StringVar(&o.will.payload, "will-payload", "", "payload of the will")
	fs.IntVar(&o.will.qos, "will-qos", 0, "quality of service of the will")
	fs.BoolVar(&o.will.retain, "will-retain", false, "retain the will")
	fs.StringArrayVarP(&o.properties, "property", "D", nil, "MQTT 5.0 property: -D PACKET NAME VALUE, as -D publish content-type text/plain")
	fs.BoolVarP(&o.debug, "debug", "d", false, "tell what happens, on standard error")
	fs.BoolVar(&o.quiet, "quiet", false, "print no error messages")
	o.tls.bind(fs)
}

// resolve makes a client's configuration of the flags, and the properties by packet. what is "pub" or "sub".
func (o *options) resolve(what string) (client.Config, Properties, error) {
	var c client.Config
	props := Properties{}
	for _, words := range o.properties {
		if err := props.set(strings.Split(words, propertySeparator)); err != nil {
			return c, nil, usage("%w", err)
		}
	}
	for _, step := range []func(*client.Config) error{
		o.setVersion, o.setURL, o.setAddress, o.setSession(what, props["connect"]), o.setWill(props["will"]),
	} {
		if err := step(&c); err != nil {
			return c, nil, err
		}
	}
	if c.Version != packet.V5 && len(props) > 0 {
		return c, nil, usage("-D: properties need -V mqttv5")
	}
	return c, props, nil
}

func (o *options) setVersion(c *client.Config) error {
	versions := map[string]packet.Version{
		"mqttv5": packet.V5, "5": packet.V5, "mqttv311": packet.V311, "311": packet.V311, "mqttv31": packet.V31, "31": packet.V31,
	}
	v, ok := versions[o.version]
	if !ok {
		return usage("-V %s: there is mqttv5, mqttv311 and mqttv31", o.version)
	}
	c.Version = v
	if o.qos < 0 || o.qos > 2 {
		return usage("-q %d: there is 0, 1 and 2", o.qos)
	}
	return nil
}

// setURL takes user, password, topic and address out of -L.
func (o *options) setURL(*client.Config) error {
	if o.url == "" {
		return nil
	}
	// Topics may hold what ends the path of other URLs.
	u, err := url.Parse(strings.NewReplacer("#", "%23", "?", "%3F").Replace(o.url))
	if err != nil || u.Host == "" {
		return usage("-L %s: want mqtt[s]://[user[:password]@]host[:port][/topic] or ws[s]://host:port/path", o.url)
	}
	if u.User != nil {
		o.user = u.User.Username()
		o.password, _ = u.User.Password()
	}
	port := transport.DefaultPort(u.Scheme)
	if port == "" {
		return usage("-L %s: unknown scheme %q", o.url, u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	o.urlAddress = u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
	if strings.HasPrefix(u.Scheme, "ws") {
		o.urlAddress += u.Path
	} else {
		o.urlTopic = strings.TrimPrefix(u.Path, "/")
	}
	return nil
}

func (o *options) setAddress(c *client.Config) error {
	secure, err := o.tls.config()
	if err != nil {
		return usage("%w", err)
	}
	c.TLS = secure
	switch {
	case o.unix != "":
		c.Addr = "unix://" + o.unix
		return nil
	case o.urlAddress != "":
		c.Addr = o.urlAddress
		return nil
	}
	scheme, port := "tcp", o.port
	if secure != nil {
		scheme = "tls"
		if !o.flags.Changed("port") {
			port = 8883
		}
	}
	if port < 1 || port > 65535 {
		return usage("-p %d: a port is a number from 1 to 65535", port)
	}
	c.Addr = scheme + "://" + net.JoinHostPort(o.host, strconv.Itoa(port))
	return nil
}

// setSession takes identity, session and keep-alive from the flags.
func (o *options) setSession(what string, p *packet.Properties) func(*client.Config) error {
	return func(c *client.Config) error {
		if o.persistent && o.id == "" && o.idPrefix == "" {
			return usage("-c takes up the session of a client id: give one with -i")
		}
		if o.keepAlive < 0 || o.keepAlive > 65535 {
			return usage("-k %d: keep-alive is a number of seconds from 0 to 65535", o.keepAlive)
		}
		c.ClientID, c.Clean = o.clientID(what), !o.persistent
		if err := o.setUser(c); err != nil {
			return err
		}
		if c.KeepAlive = time.Duration(o.keepAlive) * time.Second; c.KeepAlive == 0 {
			c.KeepAlive = -1
		}
		if err := o.setExpiry(c); err != nil {
			return err
		}
		takeConnect(c, p)
		return nil
	}
}

// setUser takes who connects, and how that is shown.
func (o *options) setUser(c *client.Config) error {
	if !o.scram {
		c.Username = o.user
		if o.password != "" {
			c.Password = []byte(o.password)
		}
		return nil
	}
	if o.user == "" || c.Version != packet.V5 {
		return usage("--scram: needs a user name, and -V mqttv5")
	}
	c.Auth = client.NewScram(o.user, o.password)
	return nil
}

func (o *options) clientID(what string) string {
	switch {
	case o.id != "":
		return o.id
	case o.idPrefix != "":
		return o.idPrefix + strconv.Itoa(os.Getpid())
	}
	return fmt.Sprintf("mangrove-%s-%08x", what, rand.Uint32())
}

// setExpiry reads -x; without it a persistent session is for ever.
func (o *options) setExpiry(c *client.Config) error {
	switch o.expiry {
	case "":
		if o.persistent {
			c.SessionExpiry = -1
		}
		return nil
	case "-1", "∞", "4294967295":
		c.SessionExpiry = -1
		return nil
	}
	n, err := strconv.ParseUint(o.expiry, 10, 32)
	if err != nil {
		return usage("-x %s: want a number of seconds, or -1 for ever", o.expiry)
	}
	c.SessionExpiry = time.Duration(n) * time.Second
	return nil
}

// takeConnect sets what -D connect gave.
func takeConnect(c *client.Config, p *packet.Properties) {
	if p == nil {
		return
	}
	c.UserProps = p.User
	c.ReceiveMaximum, c.MaxPacket = p.ReceiveMaximum, p.MaximumPacketSize
	if p.Has(packet.PropSessionExpiry) {
		c.SessionExpiry = time.Duration(p.SessionExpiry) * time.Second
	}
}

func (o *options) setWill(p *packet.Properties) func(*client.Config) error {
	return func(c *client.Config) error {
		switch w := &o.will; {
		case w.topic == "" && (w.payload != "" || w.retain || w.qos != 0 || p != nil):
			return usage("a will needs --will-topic")
		case w.topic == "":
			return nil
		case w.qos < 0 || w.qos > 2:
			return usage("--will-qos %d: there is 0, 1 and 2", w.qos)
		default:
			c.Will = &packet.Will{Topic: w.topic, Payload: []byte(w.payload), QoS: byte(w.qos), Retain: w.retain, Props: p}
			return nil
		}
	}
}

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mangrove/cmd/internal/cli"
	"mangrove/mqtt/client"
)

// ExitTimeout is the exit code of -W, as mosquitto_sub has it.
const ExitTimeout = 27

// ExitHelp explains the codes for --help.
const ExitHelp = `Exit codes:
  0     done
  1     no connection, or it was lost
  2     flags that cannot be
  27    the time of -W was over
  128…  the broker refused; the code is MQTT 5.0's reason code, for older versions too:
        134 bad user name or password, 135 not authorized, 151 quota exceeded, …`

// coded gives an error its exit code: a refusal's is its reason code.
func coded(err error) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Reason >= 0x80 {
		return cli.WithCode(int(refused.Reason), err)
	}
	return err
}

func usage(format string, args ...any) error {
	return cli.WithCode(cli.ExitUsage, fmt.Errorf(format, args...))
}

// hush hides an error's text for --quiet; the exit code stays.
func hush(err error) error {
	var code interface{ ExitCode() int }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &code):
		return cli.WithCode(code.ExitCode(), errors.New(""))
	}
	return cli.WithCode(cli.ExitFailed, errors.New(""))
}

// interrupted tells an end by signal, which is a normal one.
func interrupted(ctx context.Context) bool { return errors.Is(context.Cause(ctx), context.Canceled) }

// note writes one line about what the command does, for -d.
func note(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

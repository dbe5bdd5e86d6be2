package cli

import (
	"github.com/spf13/cobra"

	"mangrove/cmd/internal/config"
	"mangrove/internal/node"
)

// Role is a kind of node on the command line: what it is made of, and how it is started. C is edge.Config or core.Config.
// There is one for each command, not one list of all: mangrove-edge leaves out what a core is.
type Role[C interface{ Check() error }] struct {
	Name   config.Role
	Config func(c *config.Config, shared node.Config) C // shared is what both roles are told
	New    func(C) (Node, error)
}

// Command gives cmd the flags of the role and makes it run a node.
func (r Role[C]) Command(cmd *cobra.Command) *cobra.Command {
	flags := config.Bind(cmd.Flags(), r.Name)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.Config()
		if err != nil {
			return WithCode(ExitUsage, err)
		}
		shared, err := complete(cmd, c)
		if err != nil {
			return err
		}
		n, err := r.New(r.Config(c, shared))
		if err != nil {
			return WithCode(ExitUsage, c.Place(err))
		}
		return Run(n, c, shared.Log)
	}
	return cmd
}

// complete adds version and log to what both roles are told.
func complete(cmd *cobra.Command, c *config.Config) (node.Config, error) {
	shared, err := c.Complete()
	shared.Version = Version()
	shared.Log = NewLogger(cmd.ErrOrStderr(), c.Log.Level, c.Log.Format)
	return shared, WithCode(ExitUsage, err)
}

// Check tells what is wrong with a configuration of the role as a whole.
func (r Role[C]) Check(c *config.Config) error {
	shared, err := c.Settings()
	if err != nil {
		return err
	}
	return c.Place(r.Config(c, shared).Check())
}

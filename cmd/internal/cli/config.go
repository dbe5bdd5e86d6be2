package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/config"
)

// NewConfig is the command `config`, for these roles.
func NewConfig(name string, roles ...config.Role) *cobra.Command {
	cmd := Group(&cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print one to start from",
		Example: fmt.Sprintf("  %[1]s config default %[2]s > %[2]s.toml\n  %[1]s config check %[2]s.toml",
			name, roles[0]),
	})
	cmd.AddCommand(newConfigCheck(name, roles), newConfigDefault(name, roles))
	return cmd
}

func newConfigCheck(name string, roles []config.Role) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Tell every fault of a configuration file; exit code 0 when there is none, else 1",
		Long: `Tell every fault of a configuration file, each with file, line and column.

Whose file it is follows from its role key, else from the keys it uses. Files it names
(certificates, passwords) are not opened. The exit code is 0 when there is no fault, else 1.`,
		Example: "  " + name + " config check /etc/mangrove/edge.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			role := roles[0]
			if len(roles) > 1 {
				var err error
				if role, err = config.RoleOf(args[0]); err != nil {
					return err
				}
			}
			if err := check(role, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok (%s)\n", args[0], role)
			return err
		},
	}
}

func check(role config.Role, path string) error {
	c := config.New(role)
	if err := c.Load(path); err != nil {
		return err
	}
	return c.Check()
}

func newConfigDefault(name string, roles []config.Role) *cobra.Command {
	var words []string
	example := ""
	for _, r := range roles {
		words = append(words, string(r))
		example += fmt.Sprintf("  %[1]s config default %[2]s > %[2]s.toml\n", name, r)
	}
	return &cobra.Command{
		Use:       "default ROLE",
		Short:     "Print a commented configuration file with every key at its default",
		Example:   example,
		ValidArgs: words,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return config.WriteDefault(cmd.OutOrStdout(), config.Role(args[0]))
		},
	}
}

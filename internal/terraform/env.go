package terraform

// EnvOptions make the child's environment.
type EnvOptions struct {
	Environ []string // the caller's, os.Environ()

	// Credentials and place; empty ones keep what Environ has.
	AccessKey, SecretKey, Region, Site, APIGateway string

	CLIConfigFile string   // an empty CLI config of ours, used unless Environ names one in TF_CLI_CONFIG_FILE
	Pass          []string // further names to let through, such as a backend's AWS_ACCESS_KEY_ID
}

// Environment builds the environment terraform runs with.
func Environment(o EnvOptions) map[string]string { return nil }

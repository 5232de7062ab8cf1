source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell" {
    script = "files/a.sh"
    env = {
      B = "2"
      A = "1"
    }
    environment_vars = ["A=0", "C=3"]
    use_env_var_file = true
    valid_exit_codes = [0, "2"]
    pause_after      = "1s"
  }

  provisioner "shell" {
    scripts             = ["files/a.sh", "files/b.sh"]
    binary              = true
    inline_shebang      = "/bin/bash -e"
    execute_command     = "echo '${build.Password}' | {{.Vars}} sudo -S {{.Path}} {{if .EnvVarFile}}x{{end}} ${upper("k")}"
    expect_disconnect   = true
    remote_folder       = "/opt"
    remote_file         = "f.sh"
    remote_path         = "/opt/x"
    skip_clean          = true
    start_retry_timeout = "10m"
    env_var_format      = "export %s=%s; "
  }
}
# notes:
# 

source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell-local" {
    command            = "echo hi"
    only_on            = ["linux"]
    tempfile_extension = ".sh"
  }

  provisioner "shell-local" {
    script          = "files/a.sh"
    execute_command = ["/bin/bash", "-c", "{{.Vars}} {{.Script}}"]
  }

  provisioner "sleep" {
    duration = "30s"
  }

  provisioner "breakpoint" {
    note    = "look"
    disable = true
  }

  provisioner "ansible" {
    playbook_file           = "files/play.yml"
    extra_arguments         = ["--extra-vars", "p=${build.Password}"]
    groups                  = ["web"]
    user                    = "root"
    use_proxy               = false
    inventory_file_template = "{{.HostAlias}} ansible_host={{.Host}}\n"
  }
}
# notes:
# 

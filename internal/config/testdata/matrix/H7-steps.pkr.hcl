# args: -except=skipped
source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}
source "ncloud" "b" {
  server_image_product_code = "SPSW0LINUX000131"
}
build {
  sources = ["source.ncloud.a", "source.ncloud.b"]
  provisioner "shell" {
    name              = "one"
    inline            = ["echo ${build.Host}:${build.Port} ${build.ID} ${build.User} ${build.Password}", "{{ build `Host` }} {{.User}} {{isotime \"2006\"}}"]
    only              = ["ncloud.a"]
    pause_before      = "3s"
    max_retries       = 2
    timeout           = "1h"
    continue_on_error = true
    execute_command   = "{{.Vars}} sudo -E ${build.User} {{.Path}}"
  }
  provisioner "file" {
    except      = ["ncloud.a"]
    content     = templatefile("files/motd.tpl", { name = source.name, list = ["x", "y"] })
    destination = "/etc/motd"
  }
  provisioner "shell" {
    inline   = ["all"]
    env      = { A = "1", HOST = build.Host }
    override = { b = { inline = ["only b"], skip_clean = true } }
  }
  error-cleanup-provisioner "shell-local" {
    inline = ["echo ${build.ID}"]
  }
  post-processor "manifest" {
    output      = "m.json"
    custom_data = { image = build.ImageNo }
  }
  post-processor "shell-local" {
    name   = "skipped"
    inline = ["no"]
  }
  post-processors {
    post-processor "checksum" { checksum_types = ["sha256"] }
    post-processor "manifest" { keep_input_artifact = true }
  }
}

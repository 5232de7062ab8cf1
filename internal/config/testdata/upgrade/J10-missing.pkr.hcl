variable "text" {
  type    = string
  default = "from {{.Path}}"
}

source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
  user_data                 = "#!/bin/sh\necho {{.Name}} {{.Host}} ${var.zz}.\n"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell" {
    inline = [
      "docker ps --format '{{.Names}}'",
      "docker ps --format '{{`{{.Names}}`}}'",
      "{{.Hosts}} [${var.txet}]",
      "{{if .Nothing}}yes{{else}}no{{end}} {{.A.B}}",
      "${build.ID} {{.Names}}",
    ]
    environment_vars = ["A={{.Foo}}"]
    execute_command  = "{{.Vars}} sh {{.Path}}"
  }

  provisioner "file" {
    content     = "{{.Names}}"
    destination = "/tmp/x"
  }

  post-processor "shell-local" {
    inline = ["echo {{.Names}}"]
  }
}

variable "zz" {
  type    = string
  default = ""
}

variable "txet" {
  type    = string
  default = ""
}
# notes:
# the variable zz is used and not declared: in HCL2 it has to be
# the variable txet is used and not declared: in HCL2 it has to be

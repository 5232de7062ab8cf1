variable "name" {
  type    = string
  default = "web"
}

variable "access_key" {
  type    = string
  default = env("NCLOUD_ACCESS_KEY")
}

variable "secret_key" {
  type      = string
  default   = env("NCLOUD_SECRET_KEY")
  sensitive = true
}

local "image_name" {
  expression = "${var.name}-{{timestamp}}"
}

source "ncloud" "ncloud" {
  access_key                = var.access_key
  secret_key                = var.secret_key
  server_image_product_code = "SW.VSVR.OS.LNX64.UBNTU.SVR2004.B050"
  server_product_code       = "SVR.VSVR.STAND.C002.M004.NET.SSD.B050.G002"
  support_vpc               = true
  region                    = "Korea"
  server_image_name         = local.image_name
  block_storage_size        = "100"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell" {
    inline           = ["echo ${build.Host} ${source.name}", "apt-get update"]
    environment_vars = ["A=1"]
    execute_command  = "chmod +x {{.Path}}; {{.Vars}} sudo -E sh '{{.Path}}' # ${var.name}"
    pause_before     = "10s"
    max_retries      = "3"
    override = {
      "ncloud" = {
        expect_disconnect = true
      }
    }
  }

  provisioner "file" {
    content     = "hello\n"
    destination = "/etc/motd"
  }

  post-processor "manifest" {
  }

  post-processors {

    post-processor "shell-local" {
      command = "echo ${build.ImageNo}"
    }

    post-processor "checksum" {
    }
  }
}
# notes:
# line 4: the variable image_name is made of others and became a local: -var image_name=… no longer sets it

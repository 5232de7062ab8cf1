source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
  ssh_keep_alive_interval   = "-1s"
  ssh_read_write_timeout    = "-1s"
  ssh_keypair_name          = "mine"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell" {
    inline           = ["one", " two"]
    valid_exit_codes = ["0", "3"]
    max_retries      = -1
    execute_command  = "sh {{.Path}}"
    override = {
      "ncloud" = {
        type       = "file"
        skip_clean = true
      }
    }
  }

  provisioner "shell" {
    inline = ["x"]
    only   = []
    except = ["ncloud.ncloud"]
  }
}
# notes:
# 

variable "tries" {
  type    = string
  default = "2"
}

source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "ncloud" "b" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.a", "source.ncloud.b"]

  provisioner "shell" {
    inline       = ["one"]
    only         = ["ncloud.a"]
    pause_before = "1m30s"
    max_retries  = var.tries
    timeout      = "5m"
  }

  provisioner "shell" {
    inline      = ["two"]
    except      = ["ncloud.a"]
    max_retries = 1
  }

  provisioner "shell" {
    inline = ["three ${source.name} ${source.type}"]
    override = {
      "b" = {
        inline     = ["other"]
        skip_clean = "true"
      }
    }
  }
}
# notes:
# 

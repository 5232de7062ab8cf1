source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "file" {
    source      = "files/"
    destination = "/opt/"
  }

  provisioner "file" {
    sources     = ["files/a.sh", "files/b.sh"]
    destination = "/opt/"
  }

  provisioner "file" {
    source      = "/var/log/x"
    destination = "out/"
    direction   = "download"
  }

  provisioner "file" {
    content     = "host ${build.Host}"
    destination = "/etc/h"
  }

  provisioner "file" {
    source      = "not-yet"
    destination = "/x"
    generated   = true
  }
}
# notes:
# 

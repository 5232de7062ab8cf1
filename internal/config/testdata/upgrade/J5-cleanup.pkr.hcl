source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "shell" {
    inline = ["x"]
  }

  error-cleanup-provisioner "shell-local" {
    inline = ["echo ${build.ID} failed"]
  }
}
# notes:
# 

# -only=web*,db -except=web-old
source "ncloud" "web-new" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "ncloud" "web-old" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "ncloud" "db" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "amazon-ebs" "aws" {
}

build {
  sources = ["source.ncloud.web-new", "source.ncloud.web-old", "source.ncloud.db", "source.amazon-ebs.aws"]
}
# notes:
# 

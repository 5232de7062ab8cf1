# The numbers of images and subnets are looked up by what people know.

data "ncloud-image" "ubuntu" {
  os         = "Ubuntu 22.04" # the latest of NAVER Cloud's plain images
  hypervisor = "KVM"
}

data "ncloud-spec" "small" {
  cpu    = 2
  memory = 8 # GB, at least
}

data "ncloud-subnet" "public" {
  type = "public"
}

locals {
  built      = formatdate("YYYY-MM-DD", timestamp())
  image_name = "${var.name}-${legacy_isotime("060102150405")}"
}

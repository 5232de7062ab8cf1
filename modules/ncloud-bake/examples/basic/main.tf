terraform {
  required_version = ">= 1.5"

  required_providers {
    ncloud = {
      source  = "NaverCloudPlatform/ncloud"
      version = "~> 4.0"
    }
  }
}

# Keys come from NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY.
provider "ncloud" {
  support_vpc = true
  region      = "KR"
}

variable "vpc_no" {
  description = "Number of an existing VPC."
  type        = string
}

variable "subnet_no" {
  description = "Number of a public subnet in it."
  type        = string
}

variable "login_key_name" {
  description = "Name of an existing login key."
  type        = string
}

variable "my_ip" {
  description = "Your own public IPv4 address."
  type        = string
}

module "bake" {
  source = "../.."

  name           = "bake-example"
  vpc_no         = var.vpc_no
  subnet_no      = var.subnet_no
  login_key_name = var.login_key_name

  server_image_number = "25495367" # rocky-8.10-base, KVM
  server_spec_code    = "s2-g3"
  block_storage_size  = 20

  source_cidrs = ["${var.my_ip}/32"]

  user_data = <<-EOT
    #!/bin/bash
    timedatectl set-timezone Asia/Seoul
  EOT
}

output "ssh" {
  description = "How to log in."
  value       = "ssh root@${module.bake.public_ip}"
}

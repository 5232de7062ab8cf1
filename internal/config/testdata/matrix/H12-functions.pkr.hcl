source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.x"]
  provisioner "shell" {
    inline = [for v in [
      abs(-1), basename("/a/b"), dirname("/a/b"), alltrue([true, false]), anytrue([true, false]), base64decode("aGk="), base64encode("hi"),
      length(base64gzip("hi")) > 10, can(1 / 0), ceil(1.2), chomp("x\n"), jsonencode(chunklist([1, 2, 3], 2)), cidrhost("10.0.0.0/8", 5),
      cidrnetmask("10.0.0.0/8"), cidrsubnet("10.0.0.0/8", 8, 2), jsonencode(cidrsubnets("10.0.0.0/8", 8, 8)), coalesce("", "b"),
      jsonencode(coalescelist([], [1])), jsonencode(compact(["a", ""])), jsonencode(concat([1], [2])), contains(["a"], "a"),
      jsonencode(convert(["1"], list(number))), jsonencode(csvdecode("a,b\n1,2")), jsonencode(distinct([1, 1])), element(["a", "b"], 1),
      endswith("ab", "b"), file("files/a.sh"), filebase64("files/a.sh"), fileexists("files/a.sh"), jsonencode(fileset("files", "*.sh")),
      jsonencode(flatten([[1], [2]])), floor(1.9), format("%03d", 7), formatdate("YYYY", "2026-01-02T03:04:05Z"), jsonencode(formatlist("%s!", ["a"])),
      indent(2, "a\nb"), index(["a", "b"], "b"), join(",", ["a", "b"]), jsondecode("{\"a\":1}").a, jsonencode(keys({ a = 1 })), legacy_isotime("2006"),
      legacy_strftime("%Y"), length("abc"), length({ a = 1 }), log(8, 2), lookup({ a = 1 }, "b", 2), lower("A"), max(1, 2), md5("x"), jsonencode(merge({ a = 1 }, { b = 2 })),
      min(1, 2), parseint("ff", 16), pow(2, 3), jsonencode(range(3)), jsonencode(reverse([1, 2])), replace("aa", "a", "b"), regex("[0-9]+", "a12"),
      jsonencode(regexall("[0-9]", "a12")), regex_replace("a1", "[0-9]", "x"), rfc3339_parse("2026-01-02T03:04:05Z").month_name, jsonencode(setintersection(["a"], ["a", "b"])),
      jsonencode(setproduct(["a"], ["b"])), jsonencode(setunion(["a"], ["b"])), sha1("x"), sha256("x"), substr(sha512("x"), 0, 8), signum(-3), jsonencode(slice([1, 2, 3], 1, 2)),
      jsonencode(sort(["b", "a"])), jsonencode(split(",", "a,b")), startswith("ab", "a"), strcontains("abc", "b"), strrev("ab"), substr("abc", 1, 1), sum([1, 2]),
      textdecodebase64(textencodebase64("hi", "UTF-16LE"), "UTF-16LE"), timestamp(), timeadd("2026-01-01T00:00:00Z", "1h"), title("ab"), trim("xax", "x"), trimprefix("ab", "a"),
      trimspace(" a "), trimsuffix("ab", "b"), try(1 / 0, "t"), unix_timestamp_parse(0).year, upper("a"), urlencode("a b"), length(uuidv4()), uuidv5("dns", "example.com"),
      jsonencode(values({ a = 1 })), yamldecode("a: 1").a, yamlencode({ a = 1 }), jsonencode(zipmap(["a"], [1])), length(bcrypt("x")), pathexpand("/x"), substr(abspath("x"), 0, 1)
    ] : format("%v", v)]
  }
}

// RUN: nitic opt --passes=fuse
// An exponent that is asked for and not computed is no kernel's work.
// ERROR: bfp.exponent_of is left after track-exponents
// ERROR:   note: raised around fuse
func.func @predict(%x: tensor<2xi8>) -> !bfp.exp {
  %e = bfp.exponent_of %x : (tensor<2xi8>) -> !bfp.exp
  func.return %e : !bfp.exp
}

// RUN: nitic opt --passes=fuse
// What dithered roundings begin with is computed in a kernel of its own, for all of them: it needs seed and step alone. The
// roundings are the same kernel twice.
// CHECK:       %[[T:.*]], %[[U:.*]] = nn.fused %seed, %step : (tensor<i64>, tensor<i32>) -> (!bfp.exp, !bfp.exp)
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.dither {{.*}} stream = 1
// CHECK-NEXT:  bfp.dither {{.*}} stream = 2
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %{{.*}} = nn.fused %r, %x, %[[T]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift {{.*}} round = dithered to = i8
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %{{.*}} = nn.fused %r, %z, %[[U]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift {{.*}} round = dithered to = i8
func.func @predict(%x: tensor<4xi32>, %z: tensor<4xi32>, %r: !bfp.range, %seed: tensor<i64>, %step: tensor<i32>) -> (tensor<4xi8>, tensor<4xi8>) {
  %t = bfp.dither %seed, %step stream = 1 : (tensor<i64>, tensor<i32>) -> !bfp.exp
  %u = bfp.dither %seed, %step stream = 2 : (tensor<i64>, tensor<i32>) -> !bfp.exp
  %s1 = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y1 = bfp.round_shift %x, %s1, %t round = dithered to = i8 : (tensor<4xi32>, !bfp.exp, !bfp.exp) -> tensor<4xi8>
  %s2 = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y2 = bfp.round_shift %z, %s2, %u round = dithered to = i8 : (tensor<4xi32>, !bfp.exp, !bfp.exp) -> tensor<4xi8>
  func.return %y1, %y2 : tensor<4xi8>, tensor<4xi8>
}

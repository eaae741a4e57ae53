// RUN: nitic opt --passes=join-slices
// Slices that leave a gap, or overlap, stay a sum; so does one whose pad somebody else reads.
// CHECK-COUNT-6: nn.pad
// CHECK-NOT: nn.concat
func.func @predict(%a: tensor<2x2xf32> {nn.name = "a", nn.role = "input"}, %b: tensor<2x2xf32> {nn.name = "b", nn.role = "input"}) -> (tensor<2x5xf32> {nn.name = "x", nn.role = "output"}, tensor<2x3xf32> {nn.name = "y", nn.role = "output"}, tensor<2x4xf32> {nn.name = "z", nn.role = "output"}, tensor<2x4xf32> {nn.name = "w", nn.role = "output"}) {
  %0 = nn.pad %a after = [0, 3] before = [0, 0] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x5xf32>
  %1 = nn.pad %b after = [0, 0] before = [0, 3] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x5xf32>
  %gap = nn.add %0, %1 : (tensor<2x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32>
  %2 = nn.pad %a after = [0, 1] before = [0, 0] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x3xf32>
  %3 = nn.pad %b after = [0, 0] before = [0, 1] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x3xf32>
  %overlap = nn.add %2, %3 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %4 = nn.pad %a after = [0, 2] before = [0, 0] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x4xf32>
  %5 = nn.pad %b after = [0, 0] before = [0, 2] between = [0, 0] : (tensor<2x2xf32>) -> tensor<2x4xf32>
  %read = nn.add %4, %5 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %gap, %overlap, %read, %5 : tensor<2x5xf32>, tensor<2x3xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

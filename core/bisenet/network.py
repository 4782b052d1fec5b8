"""BiSeNet (Yu et al., ECCV 2018) as used for faces: the context path on a ResNet-18, whose finer features
also stand in for the spatial path."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REGIONS = 19


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """Residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity() if stride == 1 else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.downsample(x) + self.bn2(self.conv2(y)))


class ResNet18(nn.Module):
    """[B,3,H,W] -> features at 1/8 [B,128,..], 1/16 [B,256,..] and 1/32 [B,512,..]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        self.layer1, self.layer2, self.layer3, self.layer4 = (nn.Sequential(
            BasicBlock(widths[level], widths[level + 1], 2 if level else 1),
            BasicBlock(widths[level + 1], widths[level + 1], 1)) for level in range(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x8 = self.layer2(self.layer1(x))
        x16 = self.layer3(x8)
        return x8, x16, self.layer4(x16)


class Attention(nn.Module):
    """Attention refinement: channels weighted by what the whole picture shows."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, 128)
        self.conv_atten = nn.Conv2d(128, 128, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(128)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class ContextPath(nn.Module):
    """[B,3,H,W] -> features at 1/8: the ResNet's [B,128,..] and those that know of the whole [B,128,..]."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16, self.arm32 = Attention(256), Attention(512)
        self.conv_head32, self.conv_head16 = ConvNorm(128, 128), ConvNorm(128, 128)
        self.conv_avg = ConvNorm(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x8, x16, x32 = self.resnet(x)
        average = self.conv_avg(x32.mean((2, 3), keepdim=True))                   # [B,128,1,1]
        up32 = F.interpolate(self.arm32(x32) + average, x16.shape[2:])
        up16 = F.interpolate(self.arm16(x16) + self.conv_head32(up32), x8.shape[2:])
        return x8, self.conv_head16(up16)


class Fusion(nn.Module):
    """Fuses two [B,128,h,w] to [B,256,h,w]."""

    def __init__(self) -> None:
        super().__init__()
        self.convblk = ConvNorm(256, 256, 1)
        self.conv1 = nn.Conv2d(256, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        x = self.convblk(torch.cat([fine, coarse], 1))
        return x + x * self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))).sigmoid()


class Output(nn.Module):
    """[B,256,h,w] -> logits [B,19,h,w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = ConvNorm(256, 256)
        self.conv_out = nn.Conv2d(256, REGIONS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """[B,3,H,W], ImageNet-normalised (made for 512x512) -> logits [B,19,H,W], in BiSeNet's own order."""

    def __init__(self) -> None:
        super().__init__()
        self.cp, self.ffm, self.conv_out = ContextPath(), Fusion(), Output()

    def forward(self, x: Tensor) -> Tensor:
        logits = self.conv_out(self.ffm(*self.cp(x)))
        return F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=True)

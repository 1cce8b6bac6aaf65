import torch

x = torch.tensor(1.0, requires_grad=True)
y = torch.tensor(2.0)
z = x + y
z.backward()
print(z.item(), x.grad.item())
